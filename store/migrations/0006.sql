-- The highest number of a delivery that was removed: no number is given twice, since an attempt
-- at the one that was removed may be under way, or its number written down.
create table number (
	id   integer primary key check (id = 1),
	last integer not null
) strict;
insert into number (id, last) values (1, 0);
create trigger delivery_numbered after delete on delivery begin
	update number set last = old.id where id = 1 and last < old.id;
end;
