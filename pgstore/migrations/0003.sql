-- The ringhooks that serve from the database. Those of the last seconds are alive.
create table ringhook.node (
	tenant  integer not null,
	name    text collate "C" not null,
	address text not null,                    -- as the engine sees it; empty for a socket
	seen    timestamptz not null,
	version text not null,                    -- of ringhook
	config  text not null,                    -- digests of the parts of its configuration, as a JSON object
	hooks   text[] not null,                  -- that its configuration has
	wants   text[] not null,                  -- the leases that it wants or has
	ahead   interval not null,                -- of its clock against the engine's
	primary key (tenant, name)
);

-- What only one node may do at a time, and which node does it: deliver for a hook, or something else whose
-- name begins with a blank. No node has a lease whose time is over.
create table ringhook.lease (
	tenant integer not null,
	hook   text collate "C" not null,
	shard  smallint not null default 0,
	node   text collate "C" not null,         -- empty if it was returned
	epoch  bigint not null,                   -- of the lease, another one each time that it is granted
	until  timestamptz not null,
	primary key (tenant, hook, shard)
);
create sequence ringhook.lease_epoch;

-- The oldest pending delivery of a hook is found by an index that the order within a key cannot use: without
-- statistics, as in a new table, the planner takes either index, and reads all that is pending of a hook.
create index delivery_oldest on ringhook.delivery (tenant, hook, id) where state = 0 and id > 0;
drop index ringhook.delivery_pending;
