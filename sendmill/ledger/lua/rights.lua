#!lua flags=allow-oom,no-writes
-- Which commands the caller may not use. Nothing is run.
-- KEYS[1] a key under the namespace
-- ARGV command, or COMMAND|SUBCOMMAND, …
-- Returns their names.

local refused = {}
for _, name in ipairs(ARGV) do
  local command, sub = string.match(name, '^(%w+)|?(%w*)$')
  local allowed
  if string.sub(name, 1, 4) == 'EVAL' then
    -- The server reads the number of keys from its place without looking whether it is there, and ends where it is not.
    allowed = redis.acl_check_cmd(command, KEYS[1], '1', KEYS[1])
  elseif sub ~= '' then
    allowed = redis.acl_check_cmd(command, sub, KEYS[1])
  else
    allowed = redis.acl_check_cmd(command, KEYS[1])
  end
  if not allowed then refused[#refused + 1] = name end
end
return refused
