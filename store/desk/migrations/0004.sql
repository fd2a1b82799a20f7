-- Parameters for the events of calls that a click in another product began, kept for an hour.
create table expected (
	call   text primary key, -- linkedid
	params text not null,    -- JSON
	at_ms  integer not null
) strict, without rowid;
create index expected_at on expected (at_ms);
