-- The classifications of events of which each condition holds.
-- Grain: predicate, classification_key.
select predicates.predicate, classifications.classification_key, predicates.event_type_ix
from config.event_type_predicates as predicates
inner join kernel.classifications
    on classifications.event_type_ix = predicates.event_type_ix
    -- Event types are the same in every model.
    and classifications.model_index = 1
where predicates.is_true
group by predicates.predicate, classifications.classification_key, predicates.event_type_ix
