-- What a shelf says of its climate besides the figures: the mean kinetic temperature, its door, and alarms.
ALTER TABLE landing.environment
    ADD COLUMN mean_kinetic_c real,
    ADD COLUMN door_open boolean,
    ADD COLUMN alarm text NOT NULL DEFAULT '';
CREATE INDEX environment_alarm ON landing.environment (site, ts) WHERE alarm <> '';
COMMENT ON COLUMN landing.environment.alarm IS 'empty, or what was wrong: contracts.messages.Environment names them';

-- An alarm is shown at once: those who look at the site's brand are told to look again.
CREATE FUNCTION landing.climate_alarm() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_notify('console', json_build_object('kind', 'stock', 'brand', brand)::text)
    FROM (SELECT DISTINCT brand FROM trace.stock WHERE stock.site = NEW.site) AS concerned;
    RETURN NULL;
END $$;
CREATE TRIGGER climate_alarm AFTER INSERT ON landing.environment
    FOR EACH ROW WHEN (NEW.alarm <> '') EXECUTE FUNCTION landing.climate_alarm();
