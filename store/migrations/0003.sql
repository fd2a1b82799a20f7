-- What is known of a hook's receiver, where something is wrong with it.
-- receiver is a digest of the URL of which it is true.
create table hook_state (
	hook            text primary key,
	receiver        text not null,
	first_fail_ms   integer not null,
	failures        integer not null,
	last_class      text not null,
	until_ms        integer not null,
	trips           integer not null,
	disabled_reason text not null,
	disabled_ms     integer not null
) strict, without rowid;
