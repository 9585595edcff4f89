"""An MCP server with one tool, on standard input and output."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("one tool")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


if __name__ == "__main__":
    server.run()
