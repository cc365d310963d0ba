"""The journey map of a published generation, as a page, a workbook, a message and a picture."""
