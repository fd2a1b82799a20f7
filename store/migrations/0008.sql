-- Remembered values stay as long as the call or an event of it is stored: delivered
-- events are removed early where room is scarce. call.linkedid is a linkedid, or one
-- followed by " @" and the Asterisk. A trigger that replaces another has a new name:
-- files of either version are checked against the texts of all.
drop trigger event_removed;
create trigger event_forgotten after delete on event
when not exists (select 1 from event where linkedid = old.linkedid)
	and not exists (select 1 from call where linkedid = old.linkedid
		or linkedid > old.linkedid || ' @' and linkedid < old.linkedid || ' A') begin
	delete from remembered where linkedid = old.linkedid;
end;
create trigger call_forgotten after delete on call begin
	delete from remembered where linkedid = iif(instr(old.linkedid, ' @'), substr(old.linkedid, 1, instr(old.linkedid, ' @') - 1), old.linkedid)
		and not exists (select 1 from event where event.linkedid = remembered.linkedid)
		and not exists (select 1 from call where call.linkedid = remembered.linkedid
			or call.linkedid > remembered.linkedid || ' @' and call.linkedid < remembered.linkedid || ' A');
end;
