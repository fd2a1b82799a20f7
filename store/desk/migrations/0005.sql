-- What agents set for themselves.
create table setting (
	agent text not null,
	name  text not null,
	value text not null,
	primary key (agent, name)
) strict, without rowid;

-- Numbers that do not pop.
create table exception (
	number     text not null, -- as in [[pop]] except; a * at the end stands for any digits
	agent      text not null, -- id of the agent; empty for all
	note       text not null,
	who        text not null, -- who added it, such as "agent 7"
	created_ms integer not null,
	primary key (number, agent)
) strict, without rowid;

-- Rises with each change of settings and exceptions, so that a running server sees those of a command.
create table revision (
	only integer primary key check (only = 1),
	n    integer not null
) strict;
insert into revision (only, n) values (1, 0);

-- Notes of agents about calls. Kept for 30 days.
create table note (
	call   text not null, -- linkedid
	agent  text not null,
	number text not null, -- of the other party; empty if it was withheld
	note   text not null,
	at_ms  integer not null,
	primary key (call, agent)
) strict, without rowid;
create index note_at on note (at_ms);
create index note_number on note (number);
