-- How many of each discovered persona have which feature: the model that persons are put into classes by.
-- Grain: discovered_persona, feature, feature_value.
select
    discovered_persona,
    feature,
    feature_value,
    rate,
    overall_rate,
    rate / nullif(overall_rate, 0) as lift
from analyses.discovered_rates
