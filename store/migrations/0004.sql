-- The attempt that ended a delivery, with last_class and last_status; it is not in
-- the table of attempts, where most deliveries then have none. Null where no
-- attempt ended it, or one that an older ringhook kept there.
alter table delivery add column started_ms integer;
alter table delivery add column took_us integer;
alter table delivery add column excerpt text;
