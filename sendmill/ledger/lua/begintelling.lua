#!lua flags=allow-oom
-- Note the batch of events that a webhook's receiver is about to be told: whoever dies over it is followed by somebody
-- who tells the same under the same id.
-- KEYS[1] the webhook's hash
-- ARGV[1] token of the lock that the caller holds, ARGV[2] the batch's id, ARGV[3] the batch
-- Returns 1 where it was noted, 0 where the lock is somebody else's.

if redis.call('GET', KEYS[1] .. ':lock') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'batch_id', ARGV[2], 'batch', ARGV[3])
return 1
