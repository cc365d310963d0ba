-- What people read in place of the names of stages, personas and events.
-- Grain: kind, model, name.
select kind, model, name, label
from config.labels
