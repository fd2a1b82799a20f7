-- Rises each time a number was erased, so that a running server forgets the calls that it lists for agents.
alter table revision add column erased integer not null default 0;
