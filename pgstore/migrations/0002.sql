-- The version of a call's state is drawn from here: it is one that no state had before, of no call, also
-- if the call was removed and comes again.
create sequence ringhook.call_version;
select setval('ringhook.call_version', (select coalesce(max(version), 0) + 1 from ringhook.call));

-- How often the stored times were moved because the engine's clock was set. Of the nodes that notice it, one moves them.
create table ringhook.clock (
	tenant integer not null primary key,
	steps  bigint not null
);
