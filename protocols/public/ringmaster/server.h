#pragma once

// HTTP and WebSocket routes on shared ports: Server, Main, Message, Request, Response.
#include "protocols/web/service/server.h"
