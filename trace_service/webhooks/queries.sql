-- name: enqueue
INSERT INTO trace.webhook_delivery (webhook, message, topic, payload)
SELECT id, %(message)s, %(topic)s, %(payload)s FROM trace.webhook
WHERE brand = %(brand)s AND removed_at IS NULL AND topics && %(patterns)s::text[]

-- name: subscribe
INSERT INTO trace.webhook (brand, url, topics, secret, format, robot_secret)
VALUES (%(brand)s, %(url)s, %(topics)s, %(secret)s, %(format)s, %(robot_secret)s) RETURNING id

-- name: rotate
UPDATE trace.webhook SET old_secret = secret, old_until = clock_timestamp() + %(keep)s, secret = %(secret)s
WHERE id = %(id)s AND removed_at IS NULL AND format = 'codefence' RETURNING id

-- name: remove
UPDATE trace.webhook SET removed_at = now() WHERE id = %(id)s AND removed_at IS NULL RETURNING id

-- name: abandon
UPDATE trace.webhook_delivery SET state = 'dead', error = 'the subscription was removed'
WHERE webhook = %(id)s AND state = 'waiting'

-- name: replay
UPDATE trace.webhook_delivery AS delivery SET state = 'waiting', attempts = 0, due_at = now(), status = NULL,
    error = NULL, delivered_at = NULL
FROM trace.webhook
WHERE webhook.id = delivery.webhook AND webhook.id = %(id)s AND webhook.removed_at IS NULL
    AND (delivery.message = %(message)s::uuid OR %(message)s::uuid IS NULL AND delivery.state = 'dead')
RETURNING delivery.id

-- name: webhooks
-- The rest of a robot's address is its secret.
SELECT webhook.id, webhook.brand, CASE WHEN webhook.format = 'codefence' THEN webhook.url
        ELSE substring(webhook.url FROM '^[^/]*//[^/?#]*') || '/…' END AS url, webhook.topics, webhook.format, webhook.created_at,
    count(*) FILTER (WHERE delivery.state = 'waiting') AS waiting,
    count(*) FILTER (WHERE delivery.state = 'delivered') AS delivered,
    count(*) FILTER (WHERE delivery.state = 'dead') AS dead,
    max(delivery.delivered_at) AS last_delivered_at
FROM trace.webhook LEFT JOIN trace.webhook_delivery AS delivery ON delivery.webhook = webhook.id
WHERE webhook.removed_at IS NULL AND (webhook.brand = %(brand)s::text OR %(brand)s::text IS NULL)
GROUP BY webhook.id ORDER BY webhook.id

-- name: dead
SELECT delivery.webhook, delivery.message::text AS message, delivery.topic, delivery.created_at, delivery.attempts,
    delivery.status, delivery.error
FROM trace.webhook_delivery AS delivery JOIN trace.webhook ON webhook.id = delivery.webhook
WHERE delivery.state = 'dead' AND webhook.removed_at IS NULL
    AND (webhook.brand = %(brand)s::text OR %(brand)s::text IS NULL)
ORDER BY delivery.webhook, delivery.transaction, delivery.id LIMIT 1000

-- name: unworded
SELECT EXISTS (SELECT FROM trace.case_message AS message
    WHERE state = 'waiting' AND due_at <= clock_timestamp()
        AND NOT EXISTS (SELECT FROM trace.case_message AS before
            WHERE before.case_id = message.case_id AND before.id < message.id AND before.state = 'waiting')) AS found

-- name: due
-- Subscriptions whose oldest waiting message may go now. What an unfinished transaction may still come before, waits.
SELECT webhook.id, webhook.brand FROM trace.webhook CROSS JOIN LATERAL (
    SELECT delivery.due_at FROM trace.webhook_delivery AS delivery
    WHERE delivery.webhook = webhook.id AND delivery.state = 'waiting'
        AND delivery.transaction < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY delivery.transaction, delivery.id LIMIT 1) AS head
WHERE webhook.removed_at IS NULL AND head.due_at <= now()
ORDER BY head.due_at

-- name: head
SELECT head.id, webhook.brand, webhook.url, webhook.secret,
    CASE WHEN webhook.old_until > clock_timestamp() THEN webhook.old_secret END AS old_secret, webhook.format, webhook.robot_secret,
    head.message::text AS message, head.topic,
    head.payload::text AS payload, head.created_at, head.attempts
FROM trace.webhook CROSS JOIN LATERAL (
    SELECT delivery.* FROM trace.webhook_delivery AS delivery
    WHERE delivery.webhook = webhook.id AND delivery.state = 'waiting'
        AND delivery.transaction < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY delivery.transaction, delivery.id LIMIT 1) AS head
WHERE webhook.id = %(webhook)s AND webhook.removed_at IS NULL AND head.due_at <= now()

-- name: own
-- Held by this session while it works on one subscription; it ends with the session, however that ends.
SELECT pg_try_advisory_lock(%(space)s, %(webhook)s::int) AS had

-- name: disown
SELECT pg_advisory_unlock(%(space)s, %(webhook)s::int)

-- name: delivered
UPDATE trace.webhook_delivery SET state = 'delivered', delivered_at = now(), attempts = attempts + 1,
    status = %(status)s, error = NULL
WHERE id = %(id)s AND state = 'waiting'

-- name: failed
UPDATE trace.webhook_delivery SET state = %(state)s, attempts = attempts + 1, status = %(status)s, error = %(error)s,
    due_at = now() + %(wait)s
WHERE id = %(id)s AND state = 'waiting'

-- name: prune
DELETE FROM trace.webhook_delivery WHERE state = 'delivered' AND delivered_at < now() - interval '30 days'
