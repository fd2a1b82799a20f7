-- SIP accounts that were created by a command. Asterisk has them, with a hash of the password.
create table sip_account (
	server     text not null,    -- the [[ami]] table
	name       text not null,
	extension  text not null,    -- where it is called; empty for none
	caller_id  text not null,    -- empty for none
	transport  text not null,    -- of [accounts] transports; empty for that of the template
	who        text not null,    -- who created it
	created_ms integer not null,
	primary key (server, name)
) strict, without rowid;
