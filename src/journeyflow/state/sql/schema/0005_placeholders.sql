-- Which events had a placeholder in place of an identifier. Loaded events count as having none until their files are read again.
alter table raw.events add column has_placeholder_id boolean;

update raw.events set has_placeholder_id = false;
