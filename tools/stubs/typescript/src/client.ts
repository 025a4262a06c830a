// Calls a running server: `node out/src/client.js ADDRESS TOKEN PHONE_NUMBER`, with a service's token.
import assert from "node:assert/strict";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { HostStatus, UserService } from "../gen/banter/v1/user_pb.js";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";

const NOBODY = "01990a2b-5c1e-7d3f-8a4b-0123456789ab";

const [address, token, phoneNumber] = process.argv.slice(2);
assert(address && token && phoneNumber, "usage: client.js ADDRESS TOKEN PHONE_NUMBER");

const credentials: Interceptor = (next) => (request) => {
  request.header.set("authorization", `Bearer ${token}`);
  return next(request);
};
const transport = createGrpcTransport({
  baseUrl: `http://${address}`,
  interceptors: [credentials],
  defaultTimeoutMs: 10_000,
});
const users = createClient(UserService, transport);

const made = await users.findOrCreateUser({ phoneNumber, fullName: "Asha Rao" });
const userId = made.user?.userId;
assert(userId && made.created);

const { user } = await users.getUser({ userId, readMask: { paths: ["full_name", "host_status"] } });
assert.equal(user?.fullName, "Asha Rao");
assert.equal(user.hostStatus, HostStatus.NONE);
assert.equal(user.phoneNumber, "", "it was not asked for");

try {
  await users.getUser({ userId: NOBODY });
  assert.fail("there is no such user");
} catch (error) {
  assert(error instanceof ConnectError);
  assert.equal(error.code, Code.NotFound);
  const [info] = error.findDetails(ErrorInfoSchema);
  assert.equal(info?.reason, "USER_NOT_FOUND");
  assert.equal(info.metadata["user_id"], NOBODY);
}
console.log("found or created, got, and was told USER_NOT_FOUND");
