"""What decoders write to stderr is caught, and nothing else is lost."""

import os
import threading
import time

import pytest

from cellmm.errors import CellMMError
from cellmm.io.complaints import stderr_complaints


def test_what_others_write_is_written_again(capfd):
    with stderr_complaints("a.png"):
        os.write(2, b"libpng warning: iCCP: known incorrect sRGB profile\nanother thread: page offset 3\n")
    assert capfd.readouterr().err == "another thread: page offset 3\n"


def test_damage_is_an_error(capfd):
    with pytest.raises(CellMMError, match=r"^a\.jpg is damaged \(Premature end of JPEG file\): copy"):
        with stderr_complaints("a.jpg"):
            os.write(2, b"Premature end of JPEG file\n")
    assert capfd.readouterr().err == ""


def test_a_child_that_begins_while_another_thread_decodes_can_decode(capfd):
    begun, go = threading.Event(), threading.Event()

    def decode() -> None:
        with stderr_complaints("a.png"):
            begun.set()
            go.wait(5)

    thread = threading.Thread(target=decode)
    thread.start()
    begun.wait(5)
    threading.Timer(0.2, go.set).start()
    child = os.fork()
    if child == 0:
        with stderr_complaints("b.png"):
            os.write(2, b"lost")
        os.write(2, b"written")
        os._exit(0)
    for _ in range(500):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
    thread.join()
    assert done and status == 0 and capfd.readouterr().err.endswith("written")
