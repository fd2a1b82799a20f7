-- Times are milliseconds since 1970.

-- Commands that change the PBX, kept for 30 days.
create table command (
	id      integer primary key,
	at_ms   integer not null,
	who     text not null,    -- who gave it, such as "agent 7" or "token crm"
	command text not null,    -- such as kick
	server  text not null,    -- the [[ami]] table; empty for several
	agent   text not null,    -- id of the agent on whom it acts; empty for none
	queue   text not null,    -- that it acts on; empty for none or several
	call    text not null,    -- linkedid of the call that it acts on; empty for none or several
	detail  text not null,    -- its other parameters, as JSON
	outcome text not null,    -- ok, or a code of an error
	result  text not null,    -- what happened, as JSON or text
	took_us integer not null
) strict;
create index command_at on command (at_ms);

-- Bearer tokens of programs. The token itself is not stored.
create table token (
	hash       blob primary key, -- SHA-256 of the token
	name       text not null unique,
	agent      text not null,    -- id of the agent for whom it acts; empty for none
	rights     text not null,    -- agent, supervisor or administrator
	queues     text not null,    -- of a supervisor, as a JSON list
	created_ms integer not null,
	used_ms    integer           -- null if never used
) strict, without rowid;

create table campaign (
	id         text primary key,
	who        text not null,
	server     text not null,
	created_ms integer not null,
	ended_ms   integer,          -- null while it runs
	state      text not null,    -- running, stopped or done
	target     text not null,    -- where callees who answer go: an extension
	settings   text not null     -- caller id, timeout, pace and so on, as JSON
) strict, without rowid;

create table campaign_number (
	campaign text not null references campaign (id) on delete cascade,
	n        integer not null,   -- its place in the list, from 0
	number   text not null,
	detail   text not null,      -- such as its own caller id, as JSON
	state    text not null,      -- waiting, calling or done
	tries    integer not null,
	result   text not null,      -- empty until done
	call     text not null,      -- linkedid of the last attempt
	at_ms    integer,            -- of the last change; null before the first attempt
	primary key (campaign, n)
) strict, without rowid;
create index campaign_number_waiting on campaign_number (campaign, n) where state = 'waiting';

-- What a number of the company is used for: a lookup of the type did returns it.
create table did_use (
	did        text primary key, -- digits
	type       text not null,    -- sip or goto
	target     text not null,
	who        text not null,
	changed_ms integer not null
) strict, without rowid;

-- When an agent was logged in or paused. Kept for 400 days.
create table agent_state (
	id      integer primary key,
	agent   text not null,
	state   text not null,       -- in or paused
	reason  text not null,       -- of the pause
	from_ms integer not null,
	to_ms   integer not null,    -- the end; while it lasts, the last time at which it was seen
	open    integer not null     -- 1 while it lasts
) strict;
create index agent_state_agent on agent_state (agent, from_ms);
create index agent_state_end on agent_state (to_ms);
create index agent_state_open on agent_state (agent) where open = 1;

-- When a pause ends by itself.
create table pause_end (
	server    text not null,
	interface text not null,
	queue     text not null,
	from_ms   integer not null, -- when the pause was given
	at_ms     integer not null,
	who       text not null,
	primary key (server, interface, queue)
) strict, without rowid;
