// The command calls a running server: banter-stubs-check ADDRESS TOKEN PHONE_NUMBER, with a service's token.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	banter "banter-stubs-check/gen/banter/v1"
)

const nobody = "01990a2b-5c1e-7d3f-8a4b-0123456789ab"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: banter-stubs-check ADDRESS TOKEN PHONE_NUMBER")
	}
	if err := check(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
	fmt.Println("found or created, got, and was told USER_NOT_FOUND")
}

func check(address, token, phoneNumber string) error {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	users := banter.NewUserServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)

	name := "Asha Rao"
	made, err := users.FindOrCreateUser(ctx, &banter.FindOrCreateUserRequest{PhoneNumber: phoneNumber, FullName: &name})
	if err != nil {
		return err
	}
	if !made.GetCreated() {
		return fmt.Errorf("%s was there before", phoneNumber)
	}
	mask := &fieldmaskpb.FieldMask{Paths: []string{"full_name", "host_status"}}
	got, err := users.GetUser(ctx, &banter.GetUserRequest{UserId: made.GetUser().GetUserId(), ReadMask: mask})
	if err != nil {
		return err
	}
	user := got.GetUser()
	if user.GetFullName() != name || user.GetHostStatus() != banter.HostStatus_HOST_STATUS_NONE || user.GetPhoneNumber() != "" {
		return fmt.Errorf("not what was asked for: %v", user)
	}
	return checkError(users.GetUser(ctx, &banter.GetUserRequest{UserId: nobody}))
}

func checkError(_ *banter.GetUserResponse, err error) error {
	found := status.Convert(err)
	if found.Code() != codes.NotFound {
		return fmt.Errorf("NOT_FOUND was to come, and %v came", found.Code())
	}
	for _, detail := range found.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			if info.GetReason() != "USER_NOT_FOUND" || info.GetMetadata()["user_id"] != nobody {
				return fmt.Errorf("unexpected %v", info)
			}
			return nil
		}
	}
	return fmt.Errorf("no ErrorInfo in %v", found.Proto())
}
