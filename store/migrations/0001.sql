-- What is known of a call: the state is the dialplan's own writing.
create table call (
	id       integer primary key,
	linkedid text not null unique,
	state    blob not null,
	seen_ms  integer not null
) strict;
create index call_seen on call (seen_ms);

-- An event is stored once for all hooks. The index begins with the linkedid,
-- which begins with the time: new entries stand close together, however large
-- the table is.
create table event (
	id          integer primary key,
	linkedid    text not null,
	event_id    text not null,
	accepted_ms integer not null,
	body        blob not null,
	unique (linkedid, event_id)
) strict;

-- One event for one hook. state: 0 pending, 1 delivered, 2 dead, 3 dropped.
-- okey is what order is kept within, the linkedid. Only the first pending
-- delivery of a hook and okey has a next_ms; those behind it are held.
create table delivery (
	id          integer primary key,
	event       integer not null references event (id),
	hook        text not null,
	okey        text not null,
	state       integer not null default 0,
	attempts    integer not null default 0,
	next_ms     integer,
	finished_ms integer,
	last_class  text not null default '',
	last_status integer not null default 0
) strict;
create index delivery_due on delivery (hook, next_ms) where state = 0 and next_ms is not null;
create index delivery_order on delivery (hook, okey) where state = 0;
create index delivery_pending on delivery (hook) where state = 0;
create index delivery_finished on delivery (state, finished_ms) where finished_ms is not null;
create index delivery_event on delivery (event);

-- The last attempts at a delivery.
create table attempt (
	delivery   integer not null references delivery (id) on delete cascade,
	n          integer not null,
	started_ms integer not null,
	took_us    integer not null,
	class      text not null,
	status     integer not null,
	excerpt    text not null,
	primary key (delivery, n)
) strict, without rowid;

-- How many deliveries of a hook are pending and dead, so that nobody counts.
create table tally (
	hook    text primary key,
	pending integer not null default 0,
	dead    integer not null default 0
) strict, without rowid;

create trigger delivery_added after insert on delivery begin
	insert into tally (hook, pending, dead) values (new.hook, new.state = 0, new.state = 2)
	on conflict (hook) do update set pending = pending + excluded.pending, dead = dead + excluded.dead;
end;
create trigger delivery_moved after update of state on delivery when new.state <> old.state begin
	update tally set
		pending = pending + (new.state = 0) - (old.state = 0),
		dead = dead + (new.state = 2) - (old.state = 2)
	where hook = new.hook;
end;
create trigger delivery_removed after delete on delivery when old.state in (0, 2) begin
	update tally set pending = pending - (old.state = 0), dead = dead - (old.state = 2) where hook = old.hook;
end;
