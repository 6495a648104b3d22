/**
 * The errors of the API as its endpoints declare them, each with the words that its document has for it.
 *
 * @since 0.1.0
 */
import {
  BuildRefused,
  ParametersRefused,
  StoreError,
  TemplateNotFound,
  TooManyWorkspaces,
  TurnRefused,
  TurnRunning,
  WorkspaceChanged,
  WorkspaceNameTaken
} from "../domain/Errors.ts"
import {
  BadRequest,
  BodyTooLarge,
  InternalError,
  MessageTooLarge,
  NotFound,
  ServerEnding,
  TooManyStreams,
  Unauthenticated,
  UnsupportedMediaType
} from "./HttpErrors.ts"
import * as Problem from "./Problem.ts"

/**
 * @since 0.1.0
 * @category schemas
 */
export const unauthenticated = Problem.of(Unauthenticated, "There is no token, or it is not a valid one.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const badRequest = Problem.of(BadRequest, "The request does not read; `problems` names each field.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const bodyTooLarge = Problem.of(BodyTooLarge, "The body has more than `limit` bytes.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const unsupportedMediaType = Problem.of(UnsupportedMediaType, "The body is not application/json by its type.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const internalError = Problem.of(InternalError, "Something is broken in the server; its log says what.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const serverEnding = Problem.of(
  ServerEnding,
  "The server ended before it could answer, and may have done what was asked for. Ask again, another one."
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const notFound = Problem.of(NotFound, "It is not there, or it is not yours.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const storeError = Problem.of(
  StoreError,
  "The database could not answer, which says nothing of what was asked for. Try again later."
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const tooManyStreams = Problem.of(
  TooManyStreams,
  "You have `limit` streams open on this node, which is as many as one may."
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const messageTooLarge = Problem.of(MessageTooLarge, "The text has more than `limit` bytes.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const turnRunning = Problem.of(
  TurnRunning,
  "The chat answers another message, in the turn `turnId`. Follow or interrupt that one first."
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const turnRefused = Problem.of(TurnRefused, "This node is about to end. Send the message again, to another.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const templateNotFound = Problem.of(
  TemplateNotFound,
  "There is no such template, or it is not for you. Null: the workspace was made elsewhere, and is not built here."
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const parametersRefused = Problem.of(
  ParametersRefused,
  "The parameters do not fit the template; `problems` names each."
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const buildRefused = Problem.of(BuildRefused, "The policy of the application does not allow this build.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const workspaceNameTaken = Problem.of(WorkspaceNameTaken, "Another workspace of yours has this name.")

/**
 * @since 0.1.0
 * @category schemas
 */
export const workspaceChanged = Problem.of(
  WorkspaceChanged,
  "The chat was given another workspace meanwhile. Look again, then decide."
)

/**
 * @since 0.1.0
 * @category schemas
 */
export const tooManyWorkspaces = Problem.of(
  TooManyWorkspaces,
  "The chat has made as many workspaces as it may in a while."
)
