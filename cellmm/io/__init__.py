"""Files: images, label images, TIFF and COCO, and writing them whole."""
