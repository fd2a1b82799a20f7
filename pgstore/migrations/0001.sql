-- Each table begins with the tenant, 0 until there are several. Texts that are compared
-- by parts or in order have the collation C: a comparison must not depend on the server's locale.

-- The state of a call is the dialplan's own JSON. version rises by one with each change.
create table ringhook.call (
	tenant  integer not null,
	key     text collate "C" not null, -- its linkedid, or that, a blank, @ and the Asterisk
	state   text not null,
	version bigint not null,
	seen    timestamptz not null,      -- when its last record was stored
	primary key (tenant, key)
);
create index call_seen on ringhook.call (tenant, seen, key);

-- An event is stored once for all hooks.
create table ringhook.event (
	tenant   integer not null,
	id       bigint generated always as identity,
	linkedid text collate "C" not null,
	event_id text collate "C" not null,
	accepted timestamptz not null,
	body     text not null,
	primary key (tenant, id),
	unique (tenant, linkedid, event_id)
);

-- One event for one hook. It refers to its event without a foreign key, whose check would
-- lock the event with each delivery: one statement stores both, and one step of upkeep removes both.
create table ringhook.delivery (
	tenant      integer not null,
	id          bigint generated always as identity,
	event       bigint not null,
	hook        text collate "C" not null,
	shard       smallint not null default 0,  -- of the hook
	okey        text collate "C" not null,    -- what order is kept within
	state       smallint not null default 0,  -- 0 pending, 1 delivered, 2 dead, 3 dropped
	attempts    integer not null default 0,
	hold        interval not null,            -- how long it may hold up later ones of its key while it fails
	next_at     timestamptz,                  -- null while an earlier one of its key holds it up
	pass_at     timestamptz,                  -- from when on later ones may pass it; null before its first failure
	begun_at    timestamptz,                  -- from when on its time to be given up counts, if that is not the event's acceptance
	finished_at timestamptz,
	last_class  text not null default '',
	last_status integer not null default 0,
	started_at  timestamptz,                  -- of the attempt that ended it, which is not in the table of attempts
	took_us     bigint,
	excerpt     text,
	replay_of   bigint,                       -- the delivery that it repeats by an operator's will
	primary key (tenant, id)
);
-- With the number in the index, the due ones of a million are read without a sort.
create index delivery_due on ringhook.delivery (tenant, hook, shard, next_at, id) where state = 0 and next_at is not null;
create index delivery_order on ringhook.delivery (tenant, hook, okey, id) where state = 0;
create index delivery_pending on ringhook.delivery (tenant, hook, id) where state = 0;
create index delivery_finished on ringhook.delivery (tenant, state, finished_at) where finished_at is not null;
create index delivery_event on ringhook.delivery (tenant, event);
create unique index delivery_replay on ringhook.delivery (tenant, replay_of) where state = 0 and replay_of is not null;

-- The last attempts at a delivery, but for the one that ended it.
create table ringhook.attempt (
	tenant   integer not null,
	delivery bigint not null,
	n        integer not null,
	started  timestamptz not null,
	took_us  bigint not null,
	class    text not null,
	status   integer not null,
	excerpt  text not null,
	primary key (tenant, delivery, n)
);

-- What is known of a hook's receiver, if something is wrong with it.
create table ringhook.hook_state (
	tenant          integer not null,
	hook            text collate "C" not null,
	receiver        text not null,            -- a digest of the URL of which it is true
	since           timestamptz,              -- of the first failure
	failures        integer not null,
	last_class      text not null,
	until           timestamptz,
	opened          integer not null,
	disabled_reason text not null,
	disabled_at     timestamptz,
	primary key (tenant, hook)
);

-- Values of answers, for later deliveries of the same hook and call. call is as hooks.Event.Call names it.
create table ringhook.remembered (
	tenant   integer not null,
	hook     text collate "C" not null,
	call     text collate "C" not null,
	name     text collate "C" not null,
	value    text not null,
	linkedid text collate "C" not null,
	primary key (tenant, hook, call, name)
);
create index remembered_linkedid on ringhook.remembered (tenant, linkedid);

-- The number of a hook's pending and dead deliveries is that of tally plus the changes that
-- are not added to it yet: one row for all batches would make them wait for each other.
create table ringhook.tally (
	tenant  integer not null,
	hook    text collate "C" not null,
	pending bigint not null default 0,
	dead    bigint not null default 0,
	removed_at timestamptz,                   -- since when the configuration has had no such hook
	primary key (tenant, hook)
);
create table ringhook.tally_change (
	tenant  integer not null,
	id      bigint generated always as identity,
	hook    text collate "C" not null,
	pending bigint not null,
	dead    bigint not null,
	primary key (tenant, id)
);
