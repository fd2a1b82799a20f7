-- Since when the configuration has had no such hook; null where it has, or nobody has looked.
alter table tally add column removed_ms integer;
