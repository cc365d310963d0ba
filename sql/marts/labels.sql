-- What people read in place of the names of stages, personas and events.
select kind, model, name, label
from config.labels
order by kind, model, name
