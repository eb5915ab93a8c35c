"""The data plane (nginx with Lua) and its control. Python decides, Lua looks up, nothing is ever reloaded."""
