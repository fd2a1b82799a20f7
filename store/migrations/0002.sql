-- How long a delivery that fails holds up those behind it, and from when on
-- they may pass it, which is known since its first failure.
alter table delivery add column hold_ms integer not null default 900000;
alter table delivery add column pass_ms integer;

-- From when on the time to give up counts, where that is not the event's acceptance.
alter table delivery add column begun_ms integer;

-- The delivery that this one repeats by an operator's will.
alter table delivery add column replay_of integer;
create unique index delivery_replay on delivery (replay_of) where state = 0 and replay_of is not null;
