-- The engine is every brand's detector: what another rule needed goes.
DROP VIEW trace.undecided_sighting;
DROP INDEX trace.alert_cell;
ALTER TABLE trace.case_policy DROP COLUMN detector;
