-- What every column of every published table says, so that the tables can be read without this repository.
-- Grain: one row per table_name and column_name.
select
    table_name,
    column_name,
    column_index,
    type,
    unit,
    meaning,
from config.columns
