"use strict";
{
  const table = document.getElementById("table");
  const rows = table ? Array.from(table.tBodies[0].rows) : [];
  const dialog = document.getElementById("large");
  const picture = document.getElementById("large-picture");
  const previous = document.getElementById("previous");
  const next = document.getElementById("next");
  let open = null;

  // The images with a large picture, in the order and the choice on the page.
  function shown() {
    return Array.from(table.querySelectorAll("tbody tr:not([hidden]) .thumb"));
  }

  function show(thumb) {
    open = thumb;
    const row = thumb.closest("tr");
    const all = shown();
    const place = all.indexOf(thumb);
    const name = document.getElementById("large-name");
    name.textContent = name.title = row.dataset.name;
    document.getElementById("large-facts").textContent =
      `${row.dataset.cells} ${row.dataset.cells === "1" ? "cell" : "cells"}`;
    picture.src = thumb.dataset.large;
    picture.alt = thumb.querySelector("img").alt;
    previous.disabled = place <= 0;
    next.disabled = place >= all.length - 1;
    if (!dialog.open) dialog.showModal();
  }

  function step(by) {
    const all = shown();
    const thumb = all[all.indexOf(open) + by];
    if (thumb) show(thumb);
  }

  function sort(button) {
    const head = button.closest("th");
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = button.dataset.key;
    const names = new Intl.Collator(undefined, { numeric: true });
    const values = new Map(rows.map((row) => [row, row.dataset[key]]));
    rows.sort((a, b) => {
      const [first, second] = [values.get(a), values.get(b)];
      if (first === undefined || second === undefined) return (first === undefined) - (second === undefined);
      const order = key === "name" ? names.compare(first, second) : Number(first) - Number(second);
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }

  function filter() {
    const words = document.getElementById("find").value.toLowerCase();
    const state = document.getElementById("show").value;
    let number = 0;
    for (const row of rows) {
      const fits = state === "all" || row.dataset.state === state || (state === "warned" && "warned" in row.dataset);
      row.hidden = !(fits && row.dataset.name.toLowerCase().includes(words));
      number += !row.hidden;
    }
    document.getElementById("found").textContent =
      (number === rows.length ? "" : `${number} of `) + `${rows.length} ${rows.length === 1 ? "image" : "images"}`;
  }

  if (table) {
    table.addEventListener("click", (event) => {
      const thumb = event.target.closest(".thumb");
      const button = event.target.closest("thead button");
      if (thumb) show(thumb);
      if (button) sort(button);
    });
    document.getElementById("find").addEventListener("input", filter);
    document.getElementById("show").addEventListener("change", filter);
    filter(); // a browser may keep the choice when the page is loaded again
  }
  previous.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  // Of the document: a button that was pressed and is now disabled passes no keys on.
  document.addEventListener("keydown", (event) => {
    if (!dialog.open) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => {
    picture.removeAttribute("src");
    if (open) open.focus();
  });
}
