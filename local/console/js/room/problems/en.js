// Explanations of errors in English: a title and the next step.
export default {
  notLoaded: [
    'Zoom’s client could not be loaded',
    'Zoom’s server does not respond, or this network blocks it. Try again, or use Zoom’s app.',
  ],
  unsupported: [
    'This browser cannot show the class here',
    'Use a current Chrome, Edge, Firefox or Safari, or use Zoom’s app.',
  ],
  failed: ['Zoom could not open the class', 'The connection to Zoom failed. Try again, or use Zoom’s app.'],
  otherMeeting: ['Another meeting is running', 'The trainer is in another Zoom meeting. It has to end first.'],
  gone: ['The meeting does not exist any more', 'It was deleted at Zoom. Please tell the trainer.'],
  notHost: ['Zoom does not accept you as the host', 'Start the class with the Zoom user to whom it belongs.'],
  passcode: ['The passcode is wrong', 'It was changed at Zoom. Please tell the trainer.'],
  removed: ['You were removed from the class', 'The host removed you, or you joined in another window.'],
  signIn: [
    'Zoom asks for a sign-in',
    'This class is open only to people who are signed in at Zoom. Use Zoom’s app and sign in there.',
  ],
  token: [
    'The permission to join has ended',
    'It is valid for a short time and while the trainer is in the class. Try again.',
  ],
  hostInactive: ['The trainer’s Zoom user is inactive', 'Please tell the trainer or the platform.'],
  tooOften: ['Too many attempts', 'Zoom allows few attempts in a short time. Wait a minute, then try again.'],
  memory: ['This device has too little memory for the class', 'Close other windows and try again, or use Zoom’s app.'],
  setup: ['The platform’s Zoom app is not set up', 'The platform has to correct its Zoom app. Zoom’s app may work.'],
  connection: ['The connection to Zoom was lost', 'Check the network, then try again.'],
  offline: ['Zoom is not available', 'Zoom’s service has a failure. Try again in a few minutes.'],
  outdated: ['Zoom’s client is out of date', 'The platform has to update this page. Zoom’s app works.'],
  storage: ['The browser’s storage is full or blocked', 'Leave private mode or free some space, then try again.'],
  noLicence: [
    'No Zoom licence is free',
    'Other classes use all licences of the platform. Try again in a few minutes, or ask the platform for one.',
  ],
  early: ['The class is not open yet', 'Come back shortly before it starts.'],
  ended: ['The class has ended', 'You cannot join any more.'],
  cancelled: ['The class was cancelled', 'Your latest mail has the details.'],
  notReady: ['The meeting is not ready yet', 'It is made shortly before the class. Try again in a few minutes.'],
  trainerConnect: [
    'The trainer’s Zoom account is not connected',
    'The trainer has to connect it again. Zoom’s app may work until then.',
  ],
  busy: ['Many people join right now', 'Try again in a few seconds.'],
  unavailable: ['The service does not respond', 'Check the network, then try again.'],
  zoomRejected: ['Zoom refuses this class', 'Please tell the trainer. Zoom’s app may work.'],
  notFound: ['The class was not found', 'It does not exist, or you are not invited.'],
};
