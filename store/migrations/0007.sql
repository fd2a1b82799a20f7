-- Values of answers, for later deliveries of the same hook and call. call is the
-- call_uuid, which differs between two Asterisks with one linkedid.
create table remembered (
	hook     text not null,
	call     text not null,
	name     text not null,
	value    text not null,
	linkedid text not null,
	primary key (hook, call, name)
) strict, without rowid;
create index remembered_linkedid on remembered (linkedid);
-- They go with the last event of the call.
create trigger event_removed after delete on event
when not exists (select 1 from event where linkedid = old.linkedid) begin
	delete from remembered where linkedid = old.linkedid;
end;
