"""Reports on a published generation: page, workbook, message, picture."""
