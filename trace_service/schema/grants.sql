-- Least privilege, granted anew after every migration: neither role owns a table or may change the schema.
GRANT USAGE ON SCHEMA landing TO codefence_ingest, codefence_trace;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA landing TO codefence_ingest;
GRANT UPDATE ON landing.device, landing.received, landing.dead_letter TO codefence_ingest;
REVOKE INSERT ON landing.device, landing.expired, landing.retention, landing.letter_proof, landing.stray_proof
    FROM codefence_ingest;
GRANT UPDATE, DELETE ON landing.gap, landing.scan_rollup, landing.stock_rollup, landing.environment_rollup,
    landing.rollup_dirty TO codefence_ingest;
GRANT EXECUTE ON FUNCTION landing.expire, landing.expire_letters TO codefence_ingest;
GRANT SELECT ON ALL TABLES IN SCHEMA landing TO codefence_trace;
GRANT INSERT, DELETE, UPDATE ON landing.work TO codefence_trace;
GRANT INSERT ON landing.device TO codefence_trace;
GRANT USAGE ON SCHEMA trace TO codefence_trace;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA trace TO codefence_trace;
GRANT UPDATE (commissioned_at, excluded) ON trace.batch TO codefence_trace;
GRANT UPDATE ON trace.binding, trace.containment, trace.alert, trace.quarantine, trace.stock,
    trace.shelf_channel, trace.proposal, trace.session, trace.shipment, trace.verdict TO codefence_trace;
GRANT UPDATE (name, role, password_hash, language, disabled_at) ON trace.account TO codefence_trace;
GRANT DELETE ON trace.session, trace.alert_evidence, trace.shelf_channel TO codefence_trace;
GRANT UPDATE (last_used_at, revoked_at) ON trace.partner_token TO codefence_trace;
GRANT UPDATE (name_zh, name_en, items_per_case, unit_price, unit_weight_g, product_line, ended) ON trace.product
    TO codefence_trace;
GRANT UPDATE (parent, name_zh, name_en, kind, level, lft, rgt, ended) ON trace.dealer TO codefence_trace;
GRANT UPDATE (kind, dealer, name_zh, name_en, lon, lat, adcode, gln, ended) ON trace.site TO codefence_trace;
GRANT UPDATE (site, kind, retired_at) ON landing.device TO codefence_trace;
GRANT UPDATE (removed_at, secret, old_secret, old_until) ON trace.webhook TO codefence_trace;
GRANT UPDATE (state, attempts, due_at, delivered_at, status, error), DELETE ON trace.webhook_delivery
    TO codefence_trace;
GRANT USAGE ON SEQUENCE trace.sscc_serial TO codefence_trace;
GRANT SELECT ON public.schema_migration TO codefence_ingest, codefence_trace;
GRANT UPDATE (version, state, updated_at, acknowledged_at) ON trace.outbound_order TO codefence_trace;
GRANT UPDATE (revoked_at) ON trace.device_token TO codefence_trace;
GRANT UPDATE (name, salt, pin_hash, disabled_at) ON trace.supervisor TO codefence_trace;
GRANT DELETE ON trace.manifest TO codefence_trace;
-- What was believed is kept by the database itself.
REVOKE INSERT ON trace.containment_superseded, trace.binding_superseded, trace.quarantine_superseded
    FROM codefence_trace;
GRANT UPDATE, DELETE ON trace.reevaluation TO codefence_trace;
GRANT INSERT ON landing.work TO codefence_trace;
GRANT UPDATE (finished_at, success, events, errors) ON trace.epcis_capture TO codefence_trace;
GRANT UPDATE ON trace.epcis_pending TO codefence_trace;
GRANT DELETE ON trace.epcis_pending, trace.epcis_page, trace.epcis_query, trace.epcis_subscription TO codefence_trace;
GRANT UPDATE (transaction, last_event, due_at, attempts, state, delivered_at, delivered, error)
    ON trace.epcis_subscription TO codefence_trace;
REVOKE INSERT ON trace.epcis_pending FROM codefence_trace;
GRANT UPDATE (removed_at) ON trace.public_link TO codefence_trace;
GRANT DELETE ON trace.lookup TO codefence_trace;
GRANT UPDATE ON trace.trip_work TO codefence_trace;
GRANT DELETE ON trace.trip_news TO codefence_trace;
GRANT UPDATE (state, decided_at, decided_by, accepted, report, map_version) ON trace.territory_draft TO codefence_trace;
-- What strangers' questions need, and no more: no account, no token, no alert and no secret but the wrapped keys.
GRANT USAGE ON SCHEMA trace TO codefence_public;
GRANT SELECT ON trace.brand, trace.product, trace.master_key, trace.batch, trace.public_link, trace.lookup,
    trace.verdict, trace.custody_event, trace.custody_content, trace.site, trace.territory,
    trace.dealer, trace.channel_version TO codefence_public;
GRANT INSERT, DELETE ON trace.lookup TO codefence_public;
GRANT UPDATE (state, owner, deadline, proposed_outcome, proposed_by, outcome, closed_at, closed_by, merged_into, version,
    updated_at, refreshed_at, destinations, shipments, first_seen, last_seen, probability, calibrated, remaining, value,
    priority) ON trace.case_file TO codefence_trace;
GRANT UPDATE (case_id, joined_at) ON trace.case_alert TO codefence_trace;
GRANT UPDATE (state) ON trace.field_check TO codefence_trace;
GRANT UPDATE (state, attempts, due_at, sent_at, error) ON trace.mail TO codefence_trace;
GRANT DELETE ON trace.case_message TO codefence_trace;
GRANT UPDATE (state, attempts, due_at, error) ON trace.case_message TO codefence_trace;
GRANT UPDATE (email, mail_topics) ON trace.account TO codefence_trace;
GRANT EXECUTE ON FUNCTION landing.inspect TO codefence_trace;
GRANT UPDATE ON trace.stock_unit TO codefence_trace;
GRANT UPDATE, DELETE ON trace.stock_due TO codefence_trace;
GRANT UPDATE ON trace.shelf_facing TO codefence_trace;
GRANT UPDATE (resolved_at) ON trace.stock_finding TO codefence_trace;
GRANT UPDATE (ended_at, report) ON trace.replenish_night TO codefence_trace;
GRANT UPDATE, DELETE ON trace.demand_day, trace.stock_line, trace.planned_order TO codefence_trace;
GRANT UPDATE, DELETE ON trace.suspect_due, trace.review_due TO codefence_trace;
GRANT UPDATE (cancelled_by, cancelled_at) ON trace.promotion TO codefence_trace;
GRANT DELETE ON trace.coming_day TO codefence_trace;
GRANT DELETE ON trace.observation_inbox TO codefence_trace;
GRANT UPDATE (digest), DELETE ON trace.observed TO codefence_trace;
GRANT UPDATE (at, device, boot, seq) ON trace.backfill TO codefence_trace;
GRANT UPDATE (kind, near, dealer, city, cases, strength, probability, reason, material, updated_at, ended_at, ended)
    ON trace.lead TO codefence_trace;
GRANT UPDATE ON trace.engine_snapshot TO codefence_trace;
GRANT UPDATE ON trace.inspection_state TO codefence_trace;
GRANT UPDATE (field_check) ON trace.inspection_visit TO codefence_trace;
