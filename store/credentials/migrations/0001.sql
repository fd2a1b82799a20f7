-- Times are milliseconds since 1970; null is none.

-- Tokens of [[account]] tables. The file is readable for its owner only, and is not backed up: a refresh token of
-- yesterday may have been replaced since.
create table account (
	name         text primary key,
	refresh      text not null,    -- the newest refresh token; empty for none
	seed         text not null,    -- digest of the configured one from which it descends
	access       text not null,    -- the newest token or session
	expiry_ms    integer,
	refreshed_ms integer,          -- when access was issued
	started_ms   integer,          -- a request whose answer was not stored
	failure      text not null,    -- why the last request failed; empty for a success
	failed_ms    integer,
	refused      integer not null  -- 1 if the server refused the last request
) strict, without rowid;

-- Ids of agents in other products, as [[agents]] tables fetched them last.
create table agent_id (
	source  text not null,         -- name of the [[agents]] table
	n       integer not null,
	matches text not null,         -- the field of the agent that is compared: phone, info, name or id
	value   text not null,         -- of that field
	id      text not null,
	primary key (source, n)
) strict, without rowid;

-- Random secrets of this installation, by their use.
create table secret (
	name  text primary key,
	value blob not null
) strict, without rowid;
