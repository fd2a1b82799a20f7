-- The row's number is a hash of the key: one search finds it, and a walk from
-- any number on meets a fair sample of the rows.
create table entry (
	id         integer primary key,
	key        text not null,
	lookup     text not null,
	number     text not null,
	missing    integer not null,
	vars       blob,
	stored_ms  integer not null,
	expires_ms integer not null,
	used_ms    integer not null
) strict;
create index entry_number on entry (number);

create table size (id integer primary key, entries integer not null) strict;
insert into size values (1, 0);
create trigger entry_added after insert on entry begin
	update size set entries = entries + 1 where id = 1;
end;
create trigger entry_removed after delete on entry begin
	update size set entries = entries - 1 where id = 1;
end;
