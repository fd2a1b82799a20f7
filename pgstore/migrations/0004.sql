-- What people and programs do with the PBX.

-- Commands that change the PBX, kept for 30 days.
create table ringhook.command (
	tenant  integer not null,
	id      bigint generated always as identity,
	at      timestamptz not null,
	who     text not null,              -- who gave it, such as "agent 7" or "token crm"
	command text not null,              -- such as kick
	server  text not null,              -- the [[ami]] table; empty for several
	agent   text collate "C" not null,  -- id of the agent on whom it acts; empty for none
	queue   text collate "C" not null,  -- that it acts on; empty for none or several
	call    text collate "C" not null,  -- linkedid of the call that it acts on; empty for none or several
	detail  text not null,              -- its other parameters, as JSON
	outcome text not null,              -- ok, or a code of an error
	result  text not null,              -- what happened, as JSON or text
	took_us bigint not null,
	primary key (tenant, id)
);
create index command_at on ringhook.command (tenant, at, id);

-- Bearer tokens of programs. The token itself is not stored.
create table ringhook.token (
	tenant  integer not null,
	hash    bytea not null,             -- SHA-256 of the token
	name    text collate "C" not null,
	agent   text collate "C" not null,  -- id of the agent for whom it acts; empty for none
	rights  text not null,              -- agent, supervisor or administrator
	queues  text not null,              -- of a supervisor, as a JSON list
	created timestamptz not null,
	used    timestamptz,                -- null if never used
	primary key (tenant, hash),
	unique (tenant, name)
);

create table ringhook.campaign (
	tenant   integer not null,
	id       text collate "C" not null,
	who      text not null,
	server   text not null,
	created  timestamptz not null,
	ended    timestamptz,               -- null while it runs
	state    text not null,             -- running, stopped or done
	target   text not null,             -- where callees who answer go: an extension
	settings text not null,             -- caller id, timeout, pace and so on, as JSON
	primary key (tenant, id)
);
create table ringhook.campaign_number (
	tenant   integer not null,
	campaign text collate "C" not null,
	n        integer not null,          -- its place in the list, from 0
	number   text collate "C" not null,
	detail   text not null,             -- such as its own caller id, as JSON
	state    text not null,             -- waiting, calling or done
	tries    integer not null,
	result   text not null,             -- empty until done
	call     text collate "C" not null, -- linkedid of the last attempt
	at       timestamptz,               -- of the last change; null before the first attempt
	primary key (tenant, campaign, n)
);
create index campaign_number_waiting on ringhook.campaign_number (tenant, campaign, n) where state = 'waiting';
create index campaign_number_calling on ringhook.campaign_number (tenant) where state = 'calling';
create index campaign_number_number on ringhook.campaign_number (tenant, number);

-- What a number of the company is used for: a lookup of the type did returns it.
create table ringhook.did_use (
	tenant  integer not null,
	did     text collate "C" not null,  -- digits
	type    text not null,              -- sip or goto
	target  text not null,
	who     text not null,
	changed timestamptz not null,
	primary key (tenant, did)
);

-- When an agent was logged in or paused, or served a queue. Kept for 400 days.
create table ringhook.agent_state (
	tenant integer not null,
	id     bigint generated always as identity,
	agent  text collate "C" not null,
	state  text collate "C" not null,   -- in, paused or serves
	reason text collate "C" not null,   -- of the pause, or the queue
	since  timestamptz not null,
	until  timestamptz not null,        -- the end; while it lasts, the last time at which it was seen
	open   boolean not null,            -- it lasts
	primary key (tenant, id)
);
create index agent_state_agent on ringhook.agent_state (tenant, agent, since);
create index agent_state_end on ringhook.agent_state (tenant, until);
create unique index agent_state_open on ringhook.agent_state (tenant, agent, state, reason) where open;

-- When a pause ends by itself.
create table ringhook.pause_end (
	tenant    integer not null,
	server    text collate "C" not null,
	interface text collate "C" not null,
	queue     text collate "C" not null,
	since     timestamptz not null,     -- when the pause was given
	at        timestamptz not null,
	who       text not null,
	primary key (tenant, server, interface, queue)
);

-- Passwords of agents who sign in at the desk.
create table ringhook.password (
	tenant  integer not null,
	agent   text collate "C" not null,  -- id of the [[agent]]
	hash    text not null,              -- of the password, by argon2id
	changed timestamptz not null,
	primary key (tenant, agent)
);

-- Agents who are signed in. The secret of the cookie is not stored.
create table ringhook.session (
	tenant  integer not null,
	hash    bytea not null,             -- SHA-256 of the secret
	agent   text collate "C" not null,
	created timestamptz not null,
	used    timestamptz not null,       -- of the last request that was no stream; at most a minute old
	ends    timestamptz not null,
	address text not null,
	browser text not null,
	primary key (tenant, hash)
);
create index session_agent on ringhook.session (tenant, agent);

-- Links with which an agent sets a password, once. The code is not stored.
create table ringhook.invitation (
	tenant integer not null,
	hash   bytea not null,              -- SHA-256 of the code
	agent  text collate "C" not null,
	ends   timestamptz not null,
	primary key (tenant, hash)
);
create index invitation_agent on ringhook.invitation (tenant, agent);

-- SIP accounts that were created by a command. Asterisk has them, with a hash of the password.
create table ringhook.sip_account (
	tenant    integer not null,
	server    text collate "C" not null, -- the [[ami]] table
	name      text collate "C" not null,
	extension text not null,            -- where it is called; empty for none
	caller_id text not null,            -- empty for none
	transport text not null,            -- of [accounts] transports; empty for that of the template
	who       text not null,            -- who created it
	created   timestamptz not null,
	primary key (tenant, server, name)
);

-- Parameters for the events of calls that a click in another product began, kept for an hour.
create table ringhook.expected (
	tenant integer not null,
	call   text collate "C" not null,   -- linkedid
	params text not null,               -- JSON
	at     timestamptz not null,
	primary key (tenant, call)
);
create index expected_at on ringhook.expected (tenant, at);

-- What agents set for themselves.
create table ringhook.setting (
	tenant integer not null,
	agent  text collate "C" not null,
	name   text collate "C" not null,
	value  text not null,
	primary key (tenant, agent, name)
);

-- Numbers that do not pop.
create table ringhook.exception (
	tenant  integer not null,
	number  text collate "C" not null,  -- as in [[pop]] except; a * at the end stands for any digits
	agent   text collate "C" not null,  -- id of the agent; empty for all
	note    text not null,
	who     text not null,              -- who added it, such as "agent 7"
	created timestamptz not null,
	primary key (tenant, number, agent)
);

-- Notes of agents about calls. Kept for 30 days.
create table ringhook.note (
	tenant integer not null,
	call   text collate "C" not null,   -- linkedid
	agent  text collate "C" not null,
	number text collate "C" not null,   -- of the other party; empty if it was withheld
	note   text not null,
	at     timestamptz not null,
	primary key (tenant, call, agent)
);
create index note_at on ringhook.note (tenant, at);
create index note_agent on ringhook.note (tenant, agent, at);
create index note_number on ringhook.note (tenant, number);

-- What nodes have in memory of the tables above is that of these numbers.
create table ringhook.revision (
	tenant integer primary key,
	n      bigint not null default 0,   -- rises with each change of settings and exceptions
	erased bigint not null default 0,   -- rises each time a number was erased
	ended  bigint not null default 0    -- rises with each end of a session or a token
);

-- Tokens of [[account]] tables, which other systems issue.
create table ringhook.account (
	tenant    integer not null,
	name      text collate "C" not null,
	refresh   text not null,            -- the newest refresh token; empty for none
	seed      text not null,            -- digest of the configured one from which it descends
	access    text not null,            -- the newest token or session
	expiry    timestamptz,
	refreshed timestamptz,              -- when access was issued
	started   timestamptz,              -- a request whose answer was not stored
	failure   text not null,            -- why the last request failed; empty for a success
	failed    timestamptz,
	refused   boolean not null,         -- the server refused the last request
	primary key (tenant, name)
);

-- Ids of agents in other products, as [[agents]] tables fetched them last.
create table ringhook.agent_id (
	tenant  integer not null,
	source  text collate "C" not null,  -- name of the [[agents]] table
	n       integer not null,
	matches text not null,              -- the field of the agent that is compared: phone, info, name or id
	value   text not null,              -- of that field
	id      text not null,
	primary key (tenant, source, n)
);

-- Random secrets of this installation, by their use.
create table ringhook.secret (
	tenant integer not null,
	name   text collate "C" not null,
	value  bytea not null,
	primary key (tenant, name)
);

-- What one node does at a time, until it says that it is done, or does not renew it.
create table ringhook.hold (
	tenant integer not null,
	name   text collate "C" not null,
	holder text collate "C" not null,
	until  timestamptz not null,        -- by the engine's clock
	primary key (tenant, name)
);

-- The administrator's own numbers and names. Each node has a copy, which it updates by generation.
create table ringhook.phonebook (
	tenant     integer not null,
	number     text collate "C" not null,
	vars       text not null,           -- a JSON object
	generation bigint not null,         -- with which it changed last
	primary key (tenant, number)
);
create index phonebook_generation on ringhook.phonebook (tenant, generation, number);

-- Numbers that were removed from it, for some minutes.
create table ringhook.phonebook_gone (
	tenant     integer not null,
	number     text collate "C" not null,
	generation bigint not null,
	at         timestamptz not null,
	primary key (tenant, number)
);

create table ringhook.phonebook_state (
	tenant     integer primary key,
	id         text not null,           -- distinguishes this phonebook from those of other databases
	generation bigint not null,         -- of the last change
	floor      bigint not null default 0 -- removals up to this generation are not known any more
);

-- The answers of lookups, for all nodes. What is lost of it is asked for again. The row's number is a hash of the key.
create unlogged table ringhook.cache (
	tenant  integer not null,
	id      bigint not null,
	key     text not null,
	lookup  text not null,
	number  text collate "C" not null,
	missing boolean not null,
	vars    bytea,
	stored  timestamptz not null,
	expires timestamptz not null,
	primary key (tenant, id)
);
create index cache_number on ringhook.cache (tenant, number);
create index cache_expires on ringhook.cache (tenant, expires);
create index cache_worst on ringhook.cache (tenant, missing desc, stored);

-- Numbers whose answers were forgotten, for some minutes: nodes remove them from their own caches, and an answer for which the
-- source was asked before that must not come back. An empty number stands for all.
create table ringhook.forgotten (
	tenant     integer not null,
	number     text collate "C" not null,
	generation bigint not null,
	at         timestamptz not null,
	primary key (tenant, number)
);
create table ringhook.forgotten_state (
	tenant     integer primary key,
	id         text not null,           -- distinguishes these generations from those of other databases
	generation bigint not null,         -- of the last forgotten number
	floor      bigint not null default 0 -- numbers up to this generation are not known any more
);

-- Records of what happened at points of all nodes. They may be lost.
create unlogged table ringhook.trace (
	tenant   integer not null,
	id       bigint generated always as identity,
	linkedid text collate "C" not null,
	at       timestamptz not null,
	body     bytea not null,
	primary key (tenant, id)
);
create index trace_at on ringhook.trace (tenant, at, id);
create index trace_linkedid on ringhook.trace (tenant, linkedid, at);
