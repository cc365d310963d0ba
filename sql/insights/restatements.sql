-- Published figures that moved, from what to what, and why.
-- Grain: run_id, table_name, row_key, column_name.
with moved_figures as (
    select run_id, table_name, row_key, column_name, old_value, new_value, cause
    from insights._moved_figures
)

select run_id, table_name, row_key, column_name, old_value, new_value, cause
from moved_figures
