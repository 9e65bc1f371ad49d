"""Annotations as other programs save them: each format has a reader of its own."""

from cellmm.io.annotations.base import AnnotatedCell, AnnotationReader, ImageAnnotation

__all__ = ["AnnotatedCell", "AnnotationReader", "ImageAnnotation"]
