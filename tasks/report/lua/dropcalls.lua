#!lua flags=allow-oom
-- include rows.lua
-- include past.lua
-- Remove what is kept of ended calls, except where a slice that a call carried rows of is there: they may be those of
-- another job.
-- KEYS[1] the account's state hash
-- ARGV[1..] for each call: the hash of its vendor's id without the prefix ("" where it has none), the id (packed), the call
-- Returns the number of calls that went.

local function is_needed(past)
  for _, run in ipairs(past and past.rows or {}) do
    if is_there(run[1]) then return true end
  end
  return false
end

local gone = 0
for i = 1, #ARGV, 3 do
  local no = tonumber(ARGV[i + 2])
  if not is_needed(past_of(no)) then
    if ARGV[i] ~= '' then drop_ref(ARGV[i], ARGV[i + 1], no) end
    drop_past(no)
    for _, waiting in ipairs({ 'unconfirmed', 'resent', 'ask' }) do redis.call('ZREM', key(waiting), no) end
    gone = gone + 1
  end
end
count_refs()
return gone
