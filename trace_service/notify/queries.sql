-- name: due_mail
-- Held while it is sent; a process that dies lets go, and the mail is sent again rather than lost.
SELECT mail.id, mail.topic, mail.payload, mail.attempts, mail.created_at, account.email, account.language
FROM trace.mail JOIN trace.account ON account.login = mail.login
WHERE mail.state = 'waiting' AND mail.due_at <= clock_timestamp() AND account.email IS NOT NULL
    AND account.disabled_at IS NULL
ORDER BY mail.id LIMIT 20 FOR UPDATE OF mail SKIP LOCKED

-- name: mail_sent
UPDATE trace.mail SET state = 'sent', attempts = attempts + 1, sent_at = clock_timestamp(), error = NULL
WHERE id = %(id)s

-- name: mail_failed
UPDATE trace.mail SET state = %(state)s, attempts = attempts + 1, error = %(error)s,
    due_at = clock_timestamp() + %(wait)s
WHERE id = %(id)s

-- name: set_mail
UPDATE trace.account SET email = %(email)s, mail_topics = %(topics)s WHERE login = %(login)s RETURNING login
