-- Published figures that moved, from what to what, and why.
-- Grain: run_id, table_name, row_key, column_name.
select run_id, table_name, row_key, column_name, old_value, new_value, cause
from insights._moved_figures as moved_figures
