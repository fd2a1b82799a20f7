-- Passwords of agents who sign in at the desk.
create table account (
	agent      text primary key, -- id of the [[agent]]
	hash       text not null,    -- of the password, by argon2id
	changed_ms integer not null
) strict, without rowid;

-- Agents who are signed in. The secret of the cookie is not stored.
create table session (
	hash       blob primary key, -- SHA-256 of the secret
	agent      text not null,
	created_ms integer not null,
	used_ms    integer not null, -- of the last request that was no stream; at most a minute old
	ends_ms    integer not null,
	address    text not null,
	browser    text not null
) strict, without rowid;
create index session_agent on session (agent);

-- Links with which an agent sets a password, once. The code is not stored.
create table invitation (
	hash    blob primary key, -- SHA-256 of the code
	agent   text not null,
	ends_ms integer not null
) strict, without rowid;
