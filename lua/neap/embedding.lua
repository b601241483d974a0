--- neap in a loop of somebody else's (libuv, cqueues, GLib …): that waits until `fd` can be read or `timeout` is over,
-- and calls `step`. docs/embedding-loops.md has examples.
local task = require "neap.task"

local embedding = {}

--- The descriptor that can be read when a step has something to do; the loop's, never to be closed.
function embedding:fd()
  return task.loop():fd()
end

--- Seconds until a step is wanted though nothing can be read; 0: at once; nil: there is no such time. Ask after each
-- step, and after calls from outside of a task, such as neap.go or listen.
function embedding:timeout()
  return task.timeout()
end

--- Takes what has come, runs the tasks that are ready and sends what they said; never waits. Whether anything is left
-- to do: a server listens, or a task is alive. Not from a task, nor while neap.run runs.
function embedding:step()
  task.step()
  return task.is_needed()
end

-- cqueues takes an object with these, and `timeout`, as one to be polled.
embedding.pollfd = embedding.fd

function embedding:events()
  return "r"
end

return embedding
