package banterstubs;

import banter.v1.UserOuterClass.FindOrCreateUserRequest;
import banter.v1.UserOuterClass.GetUserRequest;
import banter.v1.UserOuterClass.HostStatus;
import banter.v1.UserServiceGrpc;
import com.google.protobuf.FieldMask;
import com.google.rpc.ErrorInfo;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.util.concurrent.TimeUnit;

/** Calls a running server: ADDRESS TOKEN PHONE_NUMBER, with a service's token. */
public final class Client {
  private static final String NOBODY = "01990a2b-5c1e-7d3f-8a4b-0123456789ab";

  public static void main(String[] arguments) throws Exception {
    check(arguments.length == 3, "usage: Client ADDRESS TOKEN PHONE_NUMBER");
    Metadata credentials = new Metadata();
    credentials.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + arguments[1]);
    ManagedChannel channel =
        ManagedChannelBuilder.forTarget(arguments[0])
            .usePlaintext()
            .intercept(MetadataUtils.newAttachHeadersInterceptor(credentials))
            .build();
    try {
      call(UserServiceGrpc.newBlockingStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS), arguments[2]);
    } finally {
      channel.shutdownNow();
    }
    System.out.println("found or created, got, and was told USER_NOT_FOUND");
  }

  private static void call(UserServiceGrpc.UserServiceBlockingStub users, String phoneNumber)
      throws Exception {
    var made =
        users.findOrCreateUser(
            FindOrCreateUserRequest.newBuilder()
                .setPhoneNumber(phoneNumber)
                .setFullName("Asha Rao")
                .build());
    check(made.getCreated(), phoneNumber + " was there before");

    var mask = FieldMask.newBuilder().addPaths("full_name").addPaths("host_status");
    var request = GetUserRequest.newBuilder().setUserId(made.getUser().getUserId()).setReadMask(mask);
    var user = users.getUser(request.build()).getUser();
    check(user.getFullName().equals("Asha Rao"), "another name");
    check(user.getHostStatus() == HostStatus.HOST_STATUS_NONE, "another host status");
    check(user.getPhoneNumber().isEmpty(), "a phone number that was not asked for");

    try {
      users.getUser(GetUserRequest.newBuilder().setUserId(NOBODY).build());
    } catch (StatusRuntimeException error) {
      check(error.getStatus().getCode() == Status.Code.NOT_FOUND, "another status");
      ErrorInfo info = StatusProto.fromThrowable(error).getDetails(0).unpack(ErrorInfo.class);
      check(info.getReason().equals("USER_NOT_FOUND"), "another reason");
      check(NOBODY.equals(info.getMetadataMap().get("user_id")), "another user_id");
      return;
    }
    throw new IllegalStateException("there is no such user, and the call found him");
  }

  private static void check(boolean holds, String otherwise) {
    if (!holds) {
      throw new IllegalStateException(otherwise);
    }
  }
}
