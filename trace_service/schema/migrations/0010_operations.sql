-- What operating ingest takes: names of its own on the broker.

-- Brokers that make the user name the client id would let such a device end a worker's session.
ALTER TABLE landing.device ADD CONSTRAINT device_name_is_not_ingests CHECK (id !~* '^ingest');
