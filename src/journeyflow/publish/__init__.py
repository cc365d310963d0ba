"""Publication of tables in generations, behind one atomically swapped link."""
